#include <fake.h>
#include <stdio.h>
#include <string.h>

int fake_main(int argc, char **argv, const char *arch)
{
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("QEMU emulator version %s (fake %s)\n", fake_version(), arch);
        printf("Copyright of nobody\n");
        return 0;
    }
    return 1;
}
