# Runs before each compile step: a place to hang in.
case "${FAKEQEMU_FAULT:-} $1" in
"hang-compile main-x86_64.c.o")
    : > ../compile-hangs
    sleep 1000 ;;
esac
