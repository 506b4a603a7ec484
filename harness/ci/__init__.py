"""CI stage: pins and hosts → ``.gitlab-ci.yml`` and a GitHub workflow.

Input is the pins that can be built, output is YAML. Every job runs the same ``validate`` as a user does.
"""
