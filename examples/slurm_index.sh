#!/bin/bash
# A large collection into one index by an array of Slurm jobs: sbatch slurm_index.sh /shared/photos
# The server is named by the environment, as everywhere: LEXLIP_ES_URL, and a key in LEXLIP_ES_API_KEY.
# A job that failed is run again alone: sbatch --array=17 slurm_index.sh /shared/photos. What it had done is only compared.
# Exit code 3 means that some pictures were left out, each with its reason in the job's output: run again, they would be again.
#SBATCH --job-name=lexlip-es
#SBATCH --array=0-63
#SBATCH --cpus-per-task=4
#SBATCH --output=lexlip-es-%A-%a.log
set -u
code=0
lexlip-es index --images "$1" --shard auto/64 || code=$?
[ "$code" -eq 3 ] || exit "$code"
