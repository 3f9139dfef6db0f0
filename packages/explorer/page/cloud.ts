import {
  DynamicDrawUsage,
  Float32BufferAttribute,
  GLSL3,
  InstancedBufferAttribute,
  InstancedBufferGeometry,
  Mesh,
  NoBlending,
  RawShaderMaterial,
  Vector2,
  Vector3,
} from "three";
import { ATLAS_SIDE, type Atlas } from "./sprites.ts";

const VERTEX = `
precision highp float;
uniform mat4 modelViewMatrix, projectionMatrix;
uniform float moved, scale, least, whole, disc;
uniform vec2 view;
in vec2 position;
in vec3 from, to;
in vec4 appearance;
in float slot;
in uint number;
out vec2 corner;
out vec4 colour;
flat out float sprite;
flat out uint point;
void main() {
  vec4 eye = modelViewMatrix * vec4(mix(from, to, moved), 1.0);
  vec4 middle = projectionMatrix * eye;
  float full = step(0.5, appearance.a);
  float pixels = scale * whole / max(0.01, -eye.z);
  sprite = pixels > least && full > 0.5 ? slot : -1.0;
  float side = sprite >= 0.0 ? pixels : disc * clamp(pixels * 0.42, 3.5, 13.0) * mix(0.7, 1.0, full);
  // What is not shown has no size.
  side *= step(0.001, appearance.a);
  corner = position;
  gl_Position = middle + vec4(position * side / view * middle.w, 0.0, 0.0);
  colour = vec4(appearance.rgb, full);
  point = number;
}`;
const SEEN = `
precision highp float;
uniform sampler2D atlas;
uniform vec3 paper;
in vec2 corner;
in vec4 colour;
flat in float sprite;
out vec4 pixel;
void main() {
  if (sprite < 0.0) {
    float far = length(corner);
    if (far > 1.0) discard;
    vec3 seen = mix(colour.rgb, paper, 0.75 * smoothstep(0.72, 0.86, far));
    pixel = vec4(mix(mix(paper, colour.rgb, 0.22), seen, colour.a), 1.0);
    return;
  }
  float edge = max(abs(corner.x), abs(corner.y));
  vec2 inside = clamp(vec2(corner.x, -corner.y) / 0.86 * 0.5 + 0.5, 0.5 / 32.0, 1.0 - 0.5 / 32.0);
  vec2 place = vec2(mod(sprite, SIDE), floor(sprite / SIDE));
  vec2 at = (place + inside) / SIDE;
  pixel = edge > 0.86 ? vec4(colour.rgb, 1.0) : vec4(texture(atlas, vec2(at.x, 1.0 - at.y)).rgb, 1.0);
}`;
const NUMBERED = `
precision highp float;
in vec2 corner;
in vec4 colour;
flat in float sprite;
flat in uint point;
out vec4 pixel;
void main() {
  if (sprite < 0.0 && length(corner) > 1.0) discard;
  uint told = point + 1u;
  pixel = vec4(float(told & 255u), float((told >> 8) & 255u), float((told >> 16) & 255u), 255.0) / 255.0;
}`;

/** All points as one quad that is drawn once for each: tiles where they are near, discs where they are far. */
export interface Cloud {
  /** To be looked at, and to be picked: each point in a colour that is its number plus one. */
  readonly seen: Mesh;
  readonly numbered: Mesh;
  /** Of each point, its picture's place in the atlas, or −1; a change is told by `touchSlots`. */
  readonly slots: Float32Array;
  /** From where they are now to new positions, float32 [n, 3]. */
  move(positions: Float32Array): void;
  /** 0: where they came from; 1: where they go. */
  setMoved(share: number): void;
  setAppearance(rgba: Uint8Array): void;
  touchSlots(): void;
  setView(width: number, height: number, paper: readonly [number, number, number]): void;
  /** Sizes as they are in the view, while a part of it is drawn that is one pixel wide and high. */
  withOnePixel(draw: () => void): void;
  setSprites(on: boolean): void;
  /** Where a point is now. */
  at(point: number, target: Vector3): Vector3;
}

/** Side of a tile in the space, whose points lie within a ball of radius 1; and from how many pixels on it is one. */
const TILE_SIDE = 0.075;
const LEAST_PIXELS = 14;

/** Of how many points discs are as large as they can be; of more they are smaller, so that they cover about as much. */
const LARGE_DISCS = 4000;
const LEAST_DISC = 0.3;

const discOf = (n: number): number => Math.min(1, Math.max(LEAST_DISC, Math.sqrt(LARGE_DISCS / n)));

export function createCloud(n: number, atlas: Atlas): Cloud {
  const geometry = new InstancedBufferGeometry();
  geometry.instanceCount = n;
  geometry.setAttribute("position", new Float32BufferAttribute([-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0], 3));
  geometry.setIndex([0, 1, 2, 0, 2, 3]);
  const attribute = (
    name: string,
    array: Float32Array | Uint8Array | Uint32Array,
    size: number,
    normalized = false,
  ) => {
    const made = new InstancedBufferAttribute(array, size, normalized);
    made.setUsage(DynamicDrawUsage);
    geometry.setAttribute(name, made);
    return made;
  };
  const from = attribute("from", new Float32Array(3 * n), 3);
  const to = attribute("to", new Float32Array(3 * n), 3);
  const appearance = attribute("appearance", new Uint8Array(4 * n).fill(255), 4, true);
  const slot = attribute("slot", new Float32Array(n).fill(-1), 1);
  attribute(
    "number",
    Uint32Array.from({ length: n }, (_, i) => i),
    1,
  );
  const uniforms = {
    ...{
      moved: { value: 1 },
      scale: { value: TILE_SIDE },
      least: { value: LEAST_PIXELS },
      whole: { value: 1 },
      disc: { value: discOf(n) },
    },
    ...{
      view: { value: new Vector2(1, 1) },
      paper: { value: new Vector3(1, 1, 1) },
      atlas: { value: atlas.texture },
    },
  };
  const material = (fragmentShader: string): RawShaderMaterial =>
    new RawShaderMaterial({
      ...{
        uniforms,
        vertexShader: VERTEX,
        fragmentShader: fragmentShader.replaceAll("SIDE", `${ATLAS_SIDE}.0`),
      },
      ...{ glslVersion: GLSL3, blending: NoBlending },
    });
  const mesh = (fragmentShader: string): Mesh => {
    const made = new Mesh(geometry, material(fragmentShader));
    made.frustumCulled = false;
    return made;
  };
  const at = (point: number, target: Vector3): Vector3 => {
    const share = uniforms.moved.value;
    const part = (k: number): number =>
      (1 - share) * (from.array[3 * point + k] as number) + share * (to.array[3 * point + k] as number);
    return target.set(part(0), part(1), part(2));
  };
  return {
    ...{ seen: mesh(SEEN), numbered: mesh(NUMBERED), at },
    slots: slot.array as Float32Array,
    move(positions) {
      const here = new Vector3();
      for (let point = 0; point < n; point++) at(point, here).toArray(from.array, 3 * point);
      (to.array as Float32Array).set(positions);
      [from.needsUpdate, to.needsUpdate] = [true, true];
      uniforms.moved.value = 0;
    },
    setMoved(share) {
      uniforms.moved.value = share;
    },
    setAppearance(rgba) {
      (appearance.array as Uint8Array).set(rgba);
      appearance.needsUpdate = true;
    },
    touchSlots() {
      slot.needsUpdate = true;
    },
    setView(width, height, paper) {
      uniforms.view.value.set(width, height);
      uniforms.whole.value = height;
      uniforms.paper.value.set(...paper);
    },
    withOnePixel(draw) {
      const { x, y } = uniforms.view.value;
      uniforms.view.value.set(1, 1);
      draw();
      uniforms.view.value.set(x, y);
    },
    setSprites(on) {
      uniforms.least.value = on ? LEAST_PIXELS : 1e9;
    },
  };
}
