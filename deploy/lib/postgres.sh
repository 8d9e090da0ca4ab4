# shellcheck shell=bash
# A private PostgreSQL: data and socket below $state/pg, no TCP, with a database "weir" for a user "weir".
# PostgreSQL refuses to run as root; then it runs as the user postgres, whom Debian's package makes.
#
# The caller defines state, say and die, and start_part from quickstart.

as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@")
    else
        "$@"
    fi
}

# Sets pg_bin to the programs of the version that made the data, else of the newest.
find_postgres() {
    local version
    if [ -s "$state/pg/data/PG_VERSION" ]; then
        version=$(cat "$state/pg/data/PG_VERSION")
        pg_bin=/usr/lib/postgresql/$version/bin
        [ -x "$pg_bin/postgres" ] || die "$state/pg/data was made by PostgreSQL $version, which is not installed"
    else
        pg_bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
        [ -x "$pg_bin/postgres" ] || die "PostgreSQL is not installed"
    fi
}

# The data directory, made whole or not at all.
make_cluster() {
    local log=$state/postgres.log
    [ ! -d "$state/pg/data" ] || return 0
    mkdir -p -m 700 "$state/pg"
    [ "$(id -u)" != 0 ] || chown postgres:postgres "$state/pg"
    as_postgres test -x "$state/pg" ||
        die "the user postgres cannot reach $state: its parent directories need the permission x for others"
    rm -rf "$state/pg/data.new"
    as_postgres "$pg_bin/initdb" -D "$state/pg/data.new" -U weir -E UTF8 --locale=C.UTF-8 --data-checksums \
        --auth-local=trust --auth-host=reject >"$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        die "initdb failed"
    }
    as_postgres "$pg_bin/postgres" --single -D "$state/pg/data.new" postgres >>"$log" 2>&1 \
        <<<'CREATE DATABASE weir' || die "the database could not be made: $log"
    mv "$state/pg/data.new" "$state/pg/data"
}

# Starts it unless it runs, and waits until it answers. After one that was killed the first try may find its
# children still there.
start_postgres() {
    local end=$((SECONDS + 30))
    find_postgres
    make_cluster
    until running postgres && "$pg_bin/pg_isready" -q -h "$state/pg" -U weir -d weir; do
        [ "$SECONDS" -lt "$end" ] || {
            tail -n 20 "$state/postgres.log" >&2
            die "PostgreSQL did not start"
        }
        running postgres || start_part postgres INT "$pg_bin/postgres" -D "$state/pg/data" \
            -c listen_addresses= -c "unix_socket_directories=$state/pg" -c unix_socket_permissions=0700
        sleep 0.05
    done
}

# $1 with all but unreserved characters percent-encoded.
url_encoded() {
    local LC_ALL=C i c
    for ((i = 0; i < ${#1}; i++)); do
        c=${1:i:1}
        case $c in
        [A-Za-z0-9._~-]) printf '%s' "$c" ;;
        *) printf '%%%02X' "'$c" ;;
        esac
    done
}

postgres_url() { printf 'postgresql://weir@localhost/weir?host=%s' "$(url_encoded "$state/pg")"; }
