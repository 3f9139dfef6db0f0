import { chosenAt, type Drawing, type FigureMaker } from "../drawing.ts";
import type { FigurePicture } from "../page.ts";
import { channelPicture } from "../picture.ts";

/** Figure 6: a tile as the network sees it, channel by channel. */
export const channels: FigureMaker<Drawing> = {
  subject: "channels",
  async draw(drawing) {
    const { dataset, profile, tile, save } = drawing;
    const anchor = await tile(chosenAt(drawing, 0), 0);
    const pictures: FigurePicture[] = [];
    for (const [channel, { name, title }] of profile.channels.entries()) {
      const number = channel + 1;
      const file = `channel-${String(number).padStart(2, "0")}-${name}.png`;
      await save(file, channelPicture(anchor, channel, profile.channels.length));
      pictures.push({ file, alt: title, below: `${number} ${name}` });
    }
    return {
      title: `The ${profile.channels.length} channels (figure 6)`,
      caption: `The first location as the network sees it: one kind of map object per channel, ${dataset.pixels} × ${dataset.pixels} bytes each.`,
      pictures,
    };
  },
};
