#include <fake.h>

const char *fake_version(void)
{
    return "7.2.0";
}
