# Stops the throw-away cluster in a directory and deletes the directory.
#
#   reap  DIR           now
#   watch DIR PID       when the process PID has ended
#
# POSIX sh without any PostgreSQL program: those refuse to run as root.

runs() {
    if [ -r /proc/self/stat ]; then
        { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
        # After the name, which may hold anything: state, 18 more fields, start time.
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        case $1 in Z | X) return 1 ;; esac
        started=${20}
    else
        started=$(ps -o lstart= -p "$1") && [ -n "$started" ]
    fi
}

# The process id in the cluster's own file may have been given out again, so look at what it is.
serves() {
    { cat "/proc/$1/cmdline" 2>/dev/null || ps -o args= -p "$1"; } 2>/dev/null | grep -aqF "$dir"
}

reap() {
    server=
    { read -r server <"$dir/data/postmaster.pid"; } 2>/dev/null
    signal=QUIT # immediate shutdown; nothing in there is worth saving
    tries=0
    while [ -n "$server" ] && serves "$server"; do
        kill "-$signal" "$server" 2>/dev/null
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || signal=KILL
        [ "$tries" -lt 200 ] || break
        sleep 0.05 2>/dev/null || sleep 1
    done
    # Workers of a killed server can still write a file while the directory is being emptied.
    rm -rf "$dir" || { sleep 1; rm -rf "$dir"; }
}

dir=$2
case $dir in
*/tenancy-pg-*) ;;
*) exit 64 ;;
esac

case $1 in
reap) reap ;;
watch)
    trap '' HUP INT TERM
    runs "$3" && first=$started
    while [ -d "$dir" ] && runs "$3" && [ "$started" = "$first" ]; do
        sleep 1
    done
    reap
    # A test that has not noticed may just have been making the cluster.
    sleep 3
    reap
    ;;
esac
