# Read by the scripts beside it: in them `farm VERB …` does what `pnpm farm:VERB …` does, whatever folder they are called from.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$project/node_modules/.bin:$PATH"
farm() { pnpm --silent --dir "$project" farm "$@"; }
