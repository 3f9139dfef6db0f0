import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { equalize, topChannels } from "../src/index.ts";

test("equalization is that of the textbook's image of 8 × 8 pixels", () => {
  // https://en.wikipedia.org/wiki/Histogram_equalization#Small_image
  const image = `
    52 55 61 59 79 61 76 61  62 59 55 104 94 85 59 71  63 65 66 113 144 104 63 72  64 70 70 126 154 109 71 69
    67 73 68 106 122 88 68 68  68 79 60 70 77 66 58 75  69 85 64 58 55 61 65 83  70 87 69 68 65 73 78 90`;
  const equalized = `
    0 12 53 32 190 53 174 53  57 32 12 227 219 202 32 154  65 85 93 239 251 227 65 158  73 146 146 247 255 235 154 130
    97 166 117 231 243 210 117 117  117 190 36 146 178 93 20 170  130 202 73 20 12 53 85 194  146 206 130 117 85 166 182 215`;
  const numbers = (text: string): number[] => text.trim().split(/\s+/).map(Number);
  expect([...equalize(numbers(image))]).toEqual(numbers(equalized));
});

test("equalized pixels keep their order and are spread evenly; an image of one level stays", () => {
  const random = randomOf(3);
  // Most are dark.
  const pixels = Float32Array.from({ length: 20_000 }, () => 1 + 254 * random.uniform() ** 1.5);
  const equalized = equalize(pixels);
  const order = Array.from(pixels.keys()).sort((a, b) => (pixels[a] as number) - (pixels[b] as number));
  for (const [at, i] of order.entries())
    if (at > 0) expect(equalized[i]).toBeGreaterThanOrEqual(equalized[order[at - 1] as number] as number);
  expect([Math.min(...equalized), Math.max(...equalized)]).toEqual([0, 255]);
  const brighter = equalized.filter((level) => level > 127).length / pixels.length;
  expect(brighter).toBeGreaterThan(0.48);
  expect(brighter).toBeLessThan(0.52);
  expect([...equalize([7.4, 7.4, 7.4])]).toEqual([7, 7, 7]);
  expect([...equalize([])]).toEqual([]);
});

test("the three strongest channels are red, green and blue, each equalized by itself", () => {
  const planes = [
    [0, 10, 20, 30],
    [200, 0, 0, 0],
    [1, 1, 1, 1],
    [40, 40, 90, 40],
    [0, 0, 0, 61],
  ];
  const { channels, rgb } = topChannels(Float32Array.from(planes.flat()), 5);
  expect(channels).toEqual([3, 1, 4]);
  expect([...rgb]).toEqual([0, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255]);
  // Fewer channels than colours: the others are dark. Of equal ones the first comes first.
  const two = topChannels(Float32Array.from([0, 9, 9, 0]), 2);
  expect(two).toEqual({ channels: [0, 1], rgb: Uint8Array.from([0, 255, 0, 255, 0, 0]) });
});
