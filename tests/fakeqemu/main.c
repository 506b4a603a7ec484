#include <fake.h>

int main(int argc, char **argv)
{
    return fake_main(argc, argv, ARCH);
}
