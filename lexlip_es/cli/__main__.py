"""`python -m lexlip_es.cli`, the same as `lexlip-es`."""

from lexlip_es.cli import main

main()
