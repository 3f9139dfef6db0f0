// Where everything lies. Points always have three coordinates: in two dimensions the third stays 0.

/** Points. */
export let count: i32 = 0;
/** 2 or 3. */
export let dimensions: i32 = 0;
/** Squared; see forces.ts. */
export let theta2: f64 = 0;
/** f64 [count, 3]. */
export let positions: usize = 0;
/** f64 [count, 3]: Σ p · u · (y − other), and Σ q · Z · u · (y − other); see forces.ts. */
export let attraction: usize = 0;
export let repulsion: usize = 0;
/** f64 [count]: each point's share of Z. */
export let shares: usize = 0;
/** f64 [count, 3]: what each coordinate last moved by, and the gain of its next move. */
export let updates: usize = 0;
export let gains: usize = 0;
/** Affinities, row by row: i32 [count + 1], i32 [starts[count]], f64 [starts[count]]. */
export let starts: usize = 0;
export let others: usize = 0;
export let affinities: usize = 0;
/** u64 [count] and i32 [count]: Morton codes, and the points in their order; twice, for sorting. */
export let codes: usize = 0;
export let codes2: usize = 0;
export let order: usize = 0;
export let order2: usize = 0;
/** u32 [256]. */
export let bins: usize = 0;
/** The tree, at most 2 · count − 1 nodes; see tree.ts. */
export let nodes: usize = 0;

export function layout(
  count_: i32, dimensions_: i32, theta: f64, positions_: usize, attraction_: usize, repulsion_: usize, shares_: usize,
  updates_: usize, gains_: usize, starts_: usize, others_: usize, affinities_: usize, codes_: usize, codes2_: usize,
  order_: usize, order2_: usize, bins_: usize, nodes_: usize,
): void {
  count = count_;
  dimensions = dimensions_;
  theta2 = theta * theta;
  positions = positions_;
  attraction = attraction_;
  repulsion = repulsion_;
  shares = shares_;
  updates = updates_;
  gains = gains_;
  starts = starts_;
  others = others_;
  affinities = affinities_;
  codes = codes_;
  codes2 = codes2_;
  order = order_;
  order2 = order2_;
  bins = bins_;
  nodes = nodes_;
}
