def run(s):
    return 1
