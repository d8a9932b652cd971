#!/usr/bin/env bash
# For opensearch-dashboards.yml: an authority, the node's certificate and the file of users, made once with what the image has.
set -euo pipefail
umask 077
certs=${CERTS:-/certs} ca=${CA:-/ca} home=${OPENSEARCH_HOME:-/usr/share/opensearch}
export PATH="$PATH:$home/jdk/bin"
if [ -f "$certs/internal_users.yml" ]; then exit 0; fi  # written last: all that stands before it is complete

made=$(mktemp -d)
trap 'rm -r "$made"' EXIT  # with the authority's key: nothing else is to be signed by it
head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$made/password"

key() { keytool "$@" -storetype PKCS12 -storepass:file "$made/password"; }
new_key=(-genkeypair -keyalg EC -groupname secp256r1 -validity 3650)
key "${new_key[@]}" -keystore "$made/ca.p12" -alias ca -dname "CN=lexlip-es example authority" \
  -ext bc:critical=ca:true -ext ku:critical=keyCertSign,cRLSign
key -exportcert -rfc -keystore "$made/ca.p12" -alias ca -file "$made/ca.pem"
key "${new_key[@]}" -keystore "$made/node.p12" -alias node -dname "CN=opensearch"
key -certreq -keystore "$made/node.p12" -alias node -file "$made/node.csr"
key -gencert -rfc -keystore "$made/ca.p12" -alias ca -validity 3650 -infile "$made/node.csr" -outfile "$made/node.pem" \
  -ext san=dns:opensearch,dns:localhost,ip:127.0.0.1 -ext eku=serverAuth,clientAuth -ext ku=digitalSignature
cat "$made/ca.pem" >>"$made/node.pem"
key -importcert -noprompt -keystore "$made/node.p12" -alias node -file "$made/node.pem"
key -importcert -noprompt -keystore "$made/trust.p12" -alias ca -file "$made/ca.pem"

hash_of() {  # the tool says something else first
  local hash
  hash=$("$home/plugins/opensearch-security/tools/hash.sh" -env "$1" | tail -n 1)
  case $hash in '$2'*) printf %s "$hash" ;; *) echo "no hash was made for $1" >&2 && return 1 ;; esac
}
admin=$(hash_of OPENSEARCH_PASSWORD)
dashboards=$(hash_of DASHBOARDS_PASSWORD)

cp "$made/password" "$made/node.p12" "$made/trust.p12" "$certs/"
cp "$made/ca.pem" "$ca/ca.pem"
chmod 755 "$ca"
chmod 644 "$ca/ca.pem"
cat >"$certs/internal_users.yml" <<USERS
_meta: {type: internalusers, config_version: 2}
admin: {hash: '$admin', reserved: false, backend_roles: [admin]}
kibanaserver: {hash: '$dashboards', reserved: false}
USERS
if [ "$(id -u)" = 0 ]; then chown -R 1000:1000 "$certs"; fi
