import { join } from "node:path";
import { TILE_PIXELS, TILE_RADIUS_M, type TileTransform } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import { coatsOf, frameOf, isDot, reachOf, styleXml, type TileSize } from "@loc2vec/rasterizer";
import mapnik from "@mapnik/mapnik";

/**
 * The way that suggests itself, for benchmarks to compare with: a map per channel, which asks PostGIS for every tile and
 * turns it in its style. Widths are true at the latitude given.
 *
 * @param latitude degrees, of the map's middle
 */
export function createNaiveRenderer(
  databaseUrl: string,
  profile: Profile,
  latitude: number,
  { pixels = TILE_PIXELS, radius = TILE_RADIUS_M }: TileSize = {},
): (location: { lon: number; lat: number }, transform: TileTransform) => Promise<Uint8Array> {
  mapnik.registerDatasource(join(mapnik.settings.paths.input_plugins, "postgis+pgraster.input"));
  const url = new URL(databaseUrl);
  const scale = pixels / (2 * radius);
  const { ky } = frameOf(0, latitude);
  // Dots are drawn as lines there, so points become short lines here too.
  const maps = coatsOf(profile).map((coats, channel) => {
    const name = profile.channels[channel]?.name as string;
    const values = coats.map((coat) => {
      const { id, rule } = coat;
      return `(${rule.index}, ${id}, ${isDot(coat)}, ${rule.geometry === "point" ? rule.draw.radius * ky : 0})`;
    });
    const map = new mapnik.Map(pixels, pixels, "epsg:3857");
    map.fromStringSync(styleXml([{ name, coats }], pixels, scale), { strict: true });
    map.bufferSize = Math.ceil((radius * (Math.SQRT2 - 1) + reachOf(profile)) * scale) + 1;
    map.aspect_fix_mode = mapnik.Map.ASPECT_RESPECT;
    const layer = new mapnik.Layer(name, "epsg:3857");
    layer.datasource = new mapnik.Datasource({
      type: "postgis",
      host: url.hostname,
      port: url.port,
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      dbname: url.pathname.slice(1),
      table: `(SELECT coat.id AS s, CASE WHEN coat.dot THEN ST_MakeLine(geom, ST_Translate(geom, 0.01, 0))
          WHEN coat.radius > 0 THEN ST_Buffer(geom, coat.radius, 6) ELSE geom END AS geom
        FROM farm.feature JOIN (VALUES ${values.join(", ")}) AS coat (rule, id, dot, radius) USING (rule)
        WHERE geom && !bbox! ORDER BY coat.id, osm_type, osm_id) AS tile`,
      geometry_field: "geom",
      srid: "3857",
      extent: "-20037508,-20037508,20037508,20037508",
    });
    layer.styles = [name];
    map.add_layer(layer);
    return map;
  });
  const area = pixels * pixels;
  return async ({ lon, lat }, { rotation, dx, dy }) => {
    const frame = frameOf(lon, lat);
    const [x, y] = [frame.x + dx * frame.kx, frame.y + dy * frame.ky];
    const [rx, ry] = [radius * frame.kx, radius * frame.ky];
    const tile = new Uint8Array(maps.length * area);
    for (const [channel, map] of maps.entries()) {
      map.extent = [x - rx, y - ry, x + rx, y + ry];
      const rgba = await new Promise<Buffer>((resolve, reject) => {
        map.render(new mapnik.Image(pixels, pixels), { variables: { angle: rotation } }, (error, image) =>
          error ? reject(error) : resolve(image.data()),
        );
      });
      for (let i = 0; i < area; i++) tile[channel * area + i] = rgba[4 * i] as number;
    }
    return tile;
  };
}
