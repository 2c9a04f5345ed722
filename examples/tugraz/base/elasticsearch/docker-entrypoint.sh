#!/bin/bash
# Starts the server, as the official image's command does; anything else is run as it is.
set -eu

if [ "$1" = eswrapper ]; then
    exec elasticsearch
fi
exec "$@"
