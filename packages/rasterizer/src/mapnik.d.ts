/** What is used of @mapnik/mapnik, which brings no types. */
declare module "@mapnik/mapnik" {
  class Datasource {
    constructor(options: Record<string, string>);
  }
  class Layer {
    constructor(name: string, srs: string);
    datasource: Datasource;
    styles: string[];
  }
  class Image {
    constructor(width: number, height: number);
    /** RGBA, row 0 on top; a view on memory of its own. */
    data(): Buffer;
  }
  class MapnikMap {
    constructor(width: number, height: number, srs?: string);
    static readonly ASPECT_RESPECT: number;
    aspect_fix_mode: number;
    bufferSize: number;
    extent: [number, number, number, number];
    fromStringSync(xml: string, options?: { strict?: boolean }): void;
    add_layer(layer: Layer): void;
    remove_layer(index: number): void;
    layers(): Layer[];
    render(
      image: Image,
      options: { variables?: Record<string, number> },
      callback: (error: Error | null, image: Image) => void,
    ): void;
  }
  const mapnik: {
    Datasource: typeof Datasource;
    Layer: typeof Layer;
    Image: typeof Image;
    Map: typeof MapnikMap;
    versions: { mapnik: string };
    settings: { paths: { input_plugins: string } };
    registerDatasource(path: string): boolean;
  };
  export default mapnik;
}
