import type { CustomLayerInterface } from "maplibre-gl";
import type { Appearance } from "./session.ts";
import type { Signal } from "./signal.ts";

const VERTEX = `#version 300 es
uniform mat4 matrix;
uniform float size;
in vec2 position;
in vec4 appearance;
out vec4 colour;
void main() {
  gl_Position = matrix * vec4(position, 0.0, 1.0);
  // 1 is faint, 255 is shown in full, 0 is not shown.
  float shown = step(0.001, appearance.a);
  float full = step(0.5, appearance.a);
  gl_PointSize = shown * size * mix(0.7, 1.0, full);
  colour = vec4(appearance.rgb, mix(0.25, 1.0, full));
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
uniform vec3 rim;
in vec4 colour;
out vec4 pixel;
void main() {
  float far = length(gl_PointCoord - 0.5) * 2.0;
  float inside = 1.0 - smoothstep(0.85, 1.0, far);
  vec3 seen = mix(colour.rgb, rim, smoothstep(0.6, 0.75, far) * 0.8);
  pixel = vec4(seen, 1.0) * colour.a * inside;
}`;

/** Points of a map as one buffer on the GPU. @param mercator 0 to 1, float64 [n, 2] */
export function createPointLayer(
  mercator: Float64Array,
  appearance: Signal<Appearance>,
  host: HTMLElement,
): CustomLayerInterface {
  // Float32 is too coarse for a city in the world, but not for a city by itself.
  const origin = [mercator[0] ?? 0, mercator[1] ?? 0] as const;
  const local = Float32Array.from(mercator, (value, i) => value - origin[(i % 2) as 0 | 1]);
  let draw: ((matrix: Float32Array) => void) | undefined;
  let stale = true;
  appearance.watch(() => {
    stale = true;
  });
  return {
    id: "points",
    type: "custom",
    onAdd(map, gl) {
      const program = link(gl);
      const array = gl.createVertexArray();
      gl.bindVertexArray(array);
      const attribute = (
        name: string,
        data: ArrayBufferView | null,
        size: number,
        type: number,
      ): WebGLBuffer => {
        const buffer = gl.createBuffer();
        gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
        if (data !== null) gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
        const at = gl.getAttribLocation(program, name);
        gl.enableVertexAttribArray(at);
        gl.vertexAttribPointer(at, size, type, type === gl.UNSIGNED_BYTE, 0, 0);
        return buffer;
      };
      attribute("position", local, 2, gl.FLOAT);
      const colours = attribute("appearance", null, 4, gl.UNSIGNED_BYTE);
      gl.bindVertexArray(null);
      const uniform = (name: string): WebGLUniformLocation | null => gl.getUniformLocation(program, name);
      const [matrixAt, sizeAt, rimAt] = [uniform("matrix"), uniform("size"), uniform("rim")];
      draw = (matrix) => {
        gl.useProgram(program);
        gl.bindVertexArray(array);
        if (stale) {
          gl.bindBuffer(gl.ARRAY_BUFFER, colours);
          gl.bufferData(gl.ARRAY_BUFFER, appearance.value.rgba, gl.DYNAMIC_DRAW);
          stale = false;
        }
        gl.uniformMatrix4fv(matrixAt, false, matrix);
        gl.uniform1f(sizeAt, sizeOf(map.getZoom(), local.length / 2) * Math.min(2, devicePixelRatio));
        const dark = getComputedStyle(host).getPropertyValue("--dark").trim() === "1";
        gl.uniform3fv(rimAt, dark ? [0.05, 0.06, 0.07] : [1, 1, 1]);
        gl.enable(gl.BLEND);
        gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
        gl.disable(gl.DEPTH_TEST);
        gl.drawArrays(gl.POINTS, 0, local.length / 2);
        gl.bindVertexArray(null);
      };
    },
    render(_gl, { defaultProjectionData }) {
      draw?.(translated(defaultProjectionData.mainMatrix as ArrayLike<number>, origin));
    },
  };
}

/** Diameter of a point, CSS pixels: the closer one looks and the fewer there are, the larger. */
function sizeOf(zoom: number, points: number): number {
  const crowd = points > 30_000 ? 0.7 : 1;
  return Math.max(3.5, Math.min(14, 2.2 * (zoom - 9))) * crowd;
}

/** A matrix after a move, computed in float64. */
function translated(matrix: ArrayLike<number>, [x, y]: readonly [number, number]): Float32Array {
  const moved = Float64Array.from(matrix);
  for (let i = 0; i < 4; i++)
    moved[12 + i] = (matrix[i] as number) * x + (matrix[4 + i] as number) * y + (matrix[12 + i] as number);
  return Float32Array.from(moved);
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(type) as WebGLShader;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS))
    throw new Error(`points cannot be drawn: ${gl.getProgramInfoLog(program)}`);
  return program;
}
