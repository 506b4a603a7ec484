const char *fake_version(void);
int fake_main(int argc, char **argv, const char *arch);
