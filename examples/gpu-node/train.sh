#!/usr/bin/env bash
# Trains and embeds what is queued, on this machine's GPU: train.sh
# Before: FARM_TENSORFLOW=gpu npm run setup, and FARM_REDIS_URL and FARM_STORE of the farm.
set -euo pipefail
source "$(dirname "$0")/../farm.sh"
export FARM_TENSORFLOW=gpu

farm doctor # ends the script when driver, CUDA or the GPU is missing, and says what mends it
farm work --queues train,embed --until empty
