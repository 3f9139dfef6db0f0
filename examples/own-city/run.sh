#!/usr/bin/env bash
# From a map to vectors and pictures: run.sh [MAP] [NAME] [LOCATIONS] [STEPS]
set -euo pipefail
source "$(dirname "$0")/../farm.sh"
map=$(realpath "${1:-$project/examples/helsinki.osm.pbf}")
name=${2:-own-city}
locations=${3:-1000}
steps=${4:-300}

farm import "$map"
farm enqueue --dataset "$name" --sample "$locations"
farm work --until empty --dataset "$name"
farm train --dataset "$name" --model "$name" --steps "$steps"
farm embed --dataset "$name" --model "$name"
farm atlas --dataset "$name" --model "$name" --quick
