import { chosenAt, type Drawing, type FigureMaker } from "../drawing.ts";
import { tileGrid } from "../grid.ts";
import { blank, channelPicture } from "../picture.ts";
import { hex } from "../svg.ts";

const COLUMNS = 4;
const SIDE = 256;

/** Figure 6: a tile as the network sees it, channel by channel. */
export const channels: FigureMaker<Drawing> = {
  id: "channels",
  title: "The channels",
  number: "6",
  async draw(drawing) {
    const { dataset, profile, tile, save } = drawing;
    const location = chosenAt(drawing, 0);
    const anchor = await tile(location, 0);
    const count = profile.channels.length;
    const cells = profile.channels.map(({ name, title, colour }, channel) => {
      const picture = channelPicture(anchor, channel, count);
      const nothing = picture.data.every((value) => value === 0);
      return {
        picture: nothing ? blank(picture.width, picture.height, [58, 61, 68]) : picture,
        alt: `Channel ${channel + 1}, ${title}: ${nothing ? "nothing here" : "bright where something is"}`,
        below: [`${channel + 1} ${name}`, title],
        key: hex(colour),
        as: "palette" as const,
        ...(nothing ? { over: "nothing here" } : {}),
      };
    });
    const rows = Array.from({ length: Math.ceil(count / COLUMNS) }, (_, row) => ({
      cells: cells.slice(row * COLUMNS, (row + 1) * COLUMNS),
    }));
    const description = `The ${count} channels of one tile side by side, bright where something is.`;
    return {
      caption: `Location ${location}, the first of those above, as the network sees it: one kind of map object per channel, ${dataset.pixels} × ${dataset.pixels} bytes each. Black is 0, nothing; white is 255. The coloured square is the channel’s colour in the maps of this page.`,
      look: "how little the channels have in common. The database knows a road from a river, so the network need not learn to tell them apart.",
      made: "The bytes as they are stored, in grey. Brighter lines and areas are more important ones of their channel: a motorway is brighter than its slip road.",
      pictures: [
        await save(
          "channels.svg",
          await tileGrid({ title: "The channels", description, rows, side: SIDE, gap: 16 }),
        ),
      ],
    };
  },
};
