# shellcheck shell=bash
# Processes that outlive the script that started them, by files NAME.pid in $state: "pid start-time ...". A process
# id that belongs to another program by now must never be signalled, so the time it was started at counts as well.
#
# The caller defines state, say and die.

readonly kill_bound_s=5

# The names of the programs of part $1. Where they hide from debuggers, /proc shows a normal user no more of them.
is_part() {
    local name
    { read -r name <"/proc/$2/comm"; } 2>/dev/null || return 1
    case $1 in
    weir) [[ $name == weir-dataplane || $name == weir-worker || $name == weir-link ]] ;;
    controlplane) [[ $name == weir-controlpla ]] ;;
    postgres) [[ $name == postgres ]] ;;
    esac
}

is_zombie_state() { [[ $1 == [ZX] ]]; }

# When process $1 was started, in ticks since the machine was: with its id it names a process for good.
born() {
    local line fields
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${line##*) }"
    printf '%s' "${fields[19]}"
}

# True while process $1 has not ended; one that nobody has waited for yet has.
lives() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    line=${line##*) }
    ! is_zombie_state "${line%% *}"
}

# Sets pid and rest from the file of part $1; false when it does not run.
running() {
    local since
    pid='' rest=''
    { read -r pid since rest <"$state/$1.pid"; } 2>/dev/null || return 1
    [[ $pid =~ ^[0-9]+$ ]] && is_part "$1" "$pid" && lives "$pid" && [ "$(born "$pid")" = "$since" ]
}

# Remembers process $2 as part $1; what follows stands behind it.
remember() { printf '%s %s%s\n' "$2" "$(born "$2")" "${3:+ $3}" >"$state/$1.pid"; }

# The processes of session $1, which is the daemon's process id: it and everything it started.
family() {
    local file line fields
    for file in /proc/[0-9]*/stat; do
        { read -r line <"$file"; } 2>/dev/null || continue
        read -ra fields <<<"${line##*) }"
        [ "${fields[3]}" != "$1" ] || is_zombie_state "${fields[0]}" || basename "${file%/stat}"
    done
}

# Waits until session $1 is empty, at most $2 seconds.
await_gone() {
    local end=$((SECONDS + $2))
    while [ -n "$(family "$1")" ]; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# Ends process $1 and everything it started: it is asked by each of the signals $3..., which get $2 seconds, then
# killed.
end_session() {
    local leader=$1 patience=$2 signal p
    shift 2
    for signal in "$@"; do
        kill "-$signal" "$leader" 2>/dev/null || true
        await_gone "$leader" "$patience" && return 0
        patience=$kill_bound_s
    done
    for p in $(family "$leader"); do
        kill -KILL "$p" 2>/dev/null || true
    done
    await_gone "$leader" $kill_bound_s || die "process $leader does not end"
}

# Ends part $1, should it run. A first INT lets daemons finish what they have, for $2 seconds, a second one ends
# them at once (TERM would go on accepting for a while, for a load balancer's sake). To PostgreSQL INT means that
# nobody is waited for, QUIT that nothing is tidied up.
end_part() {
    if running "$1"; then
        case $1 in
        postgres) end_session "$pid" 10 INT QUIT ;;
        *) end_session "$pid" "$2" INT INT ;;
        esac
    fi
    rm -f "$state/$1.pid"
}

# True when the daemon $2 of part $1 is gone but some of what it started is left.
orphans() {
    local p
    for p in $(family "$2"); do
        is_part "$1" "$p" && return 0
    done
    return 1
}
