#!/usr/bin/env bash
# The farm with channels of one's own: run.sh [CHANNELS] [MAP] [LOCATIONS] [STEPS]
set -euo pipefail
source "$(dirname "$0")/../farm.sh"
export FARM_STYLE
FARM_STYLE=$(realpath "${1:-$(dirname "$0")/channels.yaml}")
map=$(realpath "${2:-$project/examples/helsinki.osm.pbf}")
locations=${3:-1000}
steps=${4:-300}

farm import "$map" # other rules, so another import: what was imported before is replaced
farm enqueue --dataset own-channels --sample "$locations"
farm work --until empty --dataset own-channels
farm train --dataset own-channels --model own-channels --steps "$steps"
farm atlas --dataset own-channels --quick
