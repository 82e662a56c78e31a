#!/bin/sh
# Starts Redis as the user redis; any other command runs as it is given.
set -eu

case ${1:-} in
	-* | *.conf) set -- redis-server "$@" ;;
esac
[ "${1:-}" = redis-server ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
	find /data ! -user redis -exec chown redis:redis {} +
	exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi

# Debian's build refuses clients from other containers while no password is
# set, the official image's does not. What the caller says about it stands; a
# configuration file (or stdin, "-") comes first and is overridden by arguments,
# so there nothing is added.
case "${2:-}" in
	'' | --*)
		case " $* " in
			*' --protected-mode '* | *' --version '* | *' --help '*) ;;
			*) set -- "$@" --protected-mode no ;;
		esac
		;;
esac
exec "$@"
