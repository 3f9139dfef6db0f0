/** Semi-major axis, metres, and squared eccentricity of WGS 84. */
const A = 6378137;
const E2 = 0.00669437999014;

/** Where a location lies in Web Mercator (EPSG:3857), and how many of its metres a metre on the ground has there. */
export interface Frame {
  x: number;
  y: number;
  /** Mercator metres per ground metre, eastwards … */
  kx: number;
  /** … and northwards: the projection is a sphere's, so the two differ by up to 0.7 %. */
  ky: number;
}

/**
 * Scale factors of the spherical Mercator projection on the ellipsoid (Snyder, Map Projections: A Working Manual, USGS
 * 1987, eq. 4-25 for the radii of curvature M and N): kx = A / (N cos φ), ky = A / (M cos φ).
 *
 * @param lon degrees, WGS 84
 * @param lat degrees, within ±85
 */
export function frameOf(lon: number, lat: number): Frame {
  const phi = (lat * Math.PI) / 180;
  const w = 1 - E2 * Math.sin(phi) ** 2;
  const cos = Math.cos(phi);
  return {
    x: (A * lon * Math.PI) / 180,
    y: A * Math.log(Math.tan(Math.PI / 4 + phi / 2)),
    kx: Math.sqrt(w) / cos,
    ky: w ** 1.5 / ((1 - E2) * cos),
  };
}
