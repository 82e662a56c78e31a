#!/bin/bash
# Starts PostgreSQL; on an empty data directory it first makes the cluster.
set -euo pipefail

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# NAME or NAME_FILE (a secret mounted as a file), never both.
from_file() {
	local name=$1 file="${1}_FILE"
	[ -n "${!file:-}" ] || return 0
	[ -z "${!name:-}" ] || die "both $name and $file are set"
	[ -r "${!file}" ] || die "$file: cannot read ${!file}"
	export "$name=$(<"${!file}")"
	unset "$file"
}

# True for a command that starts the server, not for `postgres --version`.
starts_server() {
	[ "${1:-}" = postgres ] || return 1
	local arg
	for arg in "${@:2}"; do
		case $arg in
			'-?' | --help | -V | --version | --describe-config | -C) return 1 ;;
		esac
	done
}

case ${1:-} in
	-*) set -- postgres "$@" ;;
esac
starts_server "$@" || exec "$@"

PGDATA=${PGDATA:-/var/lib/postgresql/data}
export PGDATA
# Read while still root: a secret's file may be readable by root alone.
for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do
	from_file "$name"
done

if [ "$EUID" = 0 ]; then
	mkdir -p "$PGDATA"
	find "$PGDATA" ! -user postgres -exec chown postgres:postgres {} +
	find /run/postgresql -maxdepth 0 ! -user postgres -exec chown postgres:postgres {} +
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

# Exists only while the cluster is being made, so that a start that was killed
# half-way is begun anew instead of serving what it left.
making=$PGDATA/.initialising

quote_identifier() {
	printf '"%s"' "${1//\"/\"\"}"
}

run_sql() {
	psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"
}

run_init_scripts() {
	local file server i
	# The caller's settings count here too (shared_preload_libraries). What is
	# written is synced once, at the end.
	"$@" -c listen_addresses= -c fsync=off &
	server=$!
	for ((i = 0; ; i++)); do
		pg_isready -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" && break
		kill -0 "$server" 2>/dev/null || die 'the server did not start for the init scripts'
		[ "$i" -lt 1200 ] || die 'the server is not ready for the init scripts'
		sleep 0.05
	done
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
			*.sh)
				printf 'running %s\n' "$file"
				if [ -x "$file" ]; then "$file"; else . "$file"; fi
				;;
			*.sql)
				printf 'running %s\n' "$file"
				run_sql -f "$file"
				;;
			*.sql.gz)
				printf 'running %s\n' "$file"
				gunzip -c "$file" | run_sql
				;;
			*) printf 'ignoring %s\n' "$file" ;;
		esac
	done
	kill -INT "$server"
	wait "$server"
}

make_cluster() {
	local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256} args=() entry
	[ -z "${POSTGRES_INITDB_WALDIR:-}" ] || die 'POSTGRES_INITDB_WALDIR is not supported by this image'
	export POSTGRES_USER=${POSTGRES_USER:-postgres}
	export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
	if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
		die 'the database is not initialised and no superuser password is given: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in)'
	fi
	case ${POSTGRES_PASSWORD:-} in
		*$'\n'*) die 'POSTGRES_PASSWORD must be a single line' ;;
	esac
	case $POSTGRES_DB in
		*$'\n'*) die 'POSTGRES_DB must be a single line' ;;
	esac

	if [ -e "$making" ]; then
		echo 'an earlier initialisation was interrupted: starting it anew'
		find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
	fi
	# The server refuses any other modes; a volume starts with the image's 1777.
	find "$PGDATA" -maxdepth 0 ! -perm 700 ! -perm 750 -exec chmod 700 {} + || :
	entry=$(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit)
	[ -z "$entry" ] || die "$PGDATA holds files but no database (for one $entry)"
	mkdir "$making"

	# The password goes through a pipe: arguments are visible to everybody.
	if [ -n "${POSTGRES_PASSWORD:-}" ]; then
		args+=(--pwfile=/dev/stdin)
	fi
	echo 'making a new database cluster'
	# initdb refuses a directory that is not empty, hence the detour. TZ spares
	# it the search through all time zones.
	printf '%s\n' "${POSTGRES_PASSWORD:-}" | TZ=${TZ:-Etc/UTC} eval 'initdb -D "$making/data" -U "$POSTGRES_USER" \
		--auth-local=trust --auth-host="$method" --no-sync --no-instructions "${args[@]}" '"${POSTGRES_INITDB_ARGS:-}" >/dev/null
	printf '\nhost all all all %s\n' "$method" >>"$making/data/pg_hba.conf"
	mv "$making"/data/* "$PGDATA"/
	rmdir "$making/data"

	# Single-user mode is quicker than a server and cannot be connected to.
	if [ "$POSTGRES_DB" != postgres ]; then
		printf 'CREATE DATABASE %s\n' "$(quote_identifier "$POSTGRES_DB")" \
			| postgres --single -F postgres >/dev/null
	fi
	if [ -n "$(find /docker-entrypoint-initdb.d -mindepth 1 -print -quit 2>/dev/null)" ]; then
		run_init_scripts "$@"
	fi

	initdb --sync-only -D "$PGDATA" >/dev/null
	rmdir "$making"
	# Lest a crash of the host bring the marker back, and with it a new start.
	sync "$PGDATA"
}

# Each program that is not run here is a start that is faster.
if [ -e "$making" ] || [ ! -s "$PGDATA/PG_VERSION" ]; then
	make_cluster "$@"
fi
# The server and what it runs have no use for it.
unset POSTGRES_PASSWORD
exec "$@"
