package records

// The columns of a shard, in their order in the file. Lists are Parquet's
// three-level lists, which is what pyarrow and DuckDB read as lists.
type columns struct {
	ImageID     string    `parquet:"image_id"`
	URI         string    `parquet:"uri"`
	Split       string    `parquet:"split,dict"`
	Width       int32     `parquet:"width"`
	Height      int32     `parquet:"height"`
	ContentHash string    `parquet:"content_hash"`
	PixelWidth  int32     `parquet:"pixel_width"`
	PixelHeight int32     `parquet:"pixel_height"`
	Captions    []string  `parquet:"captions,list"`
	TokenIDs    [][]int32 `parquet:"token_ids,list"`
}

type uint8Row struct {
	columns
	Pixels []byte `parquet:"pixels"`
}

type float32Row struct {
	columns
	Pixels []float32 `parquet:"pixels,list"`
}

// pictureRow are the columns without what people wrote.
type pictureRow struct {
	ImageID     string `parquet:"image_id"`
	URI         string `parquet:"uri"`
	Split       string `parquet:"split,dict"`
	Width       int32  `parquet:"width"`
	Height      int32  `parquet:"height"`
	ContentHash string `parquet:"content_hash"`
	PixelWidth  int32  `parquet:"pixel_width"`
	PixelHeight int32  `parquet:"pixel_height"`
}

type uint8Picture struct {
	pictureRow
	Pixels []byte `parquet:"pixels"`
}

type float32Picture struct {
	pictureRow
	Pixels []float32 `parquet:"pixels,list"`
}

// row is what the row types have in common.
type row interface {
	columns | uint8Row | float32Row | pictureRow | uint8Picture | float32Picture
}

func columnsOf(e *Example) columns {
	return columns{
		ImageID: e.ImageID, URI: e.URI, Split: e.Split,
		Width: int32(e.Width), Height: int32(e.Height),
		ContentHash: e.ContentHash,
		PixelWidth:  int32(e.PixelWidth), PixelHeight: int32(e.PixelHeight),
		Captions: e.Captions, TokenIDs: e.TokenIDs,
	}
}

func (c *columns) example() Example {
	return Example{
		ImageID: c.ImageID, URI: c.URI, Split: c.Split,
		Width: int(c.Width), Height: int(c.Height),
		ContentHash: c.ContentHash,
		PixelWidth:  int(c.PixelWidth), PixelHeight: int(c.PixelHeight),
		Captions: c.Captions, TokenIDs: c.TokenIDs,
	}
}

func fromColumns(c *columns) Example { return c.example() }

func fromUint8(r *uint8Row) Example {
	e := r.example()
	e.Pixels = r.Pixels
	return e
}

func fromFloat32(r *float32Row) Example {
	e := r.example()
	e.Floats = r.Pixels
	return e
}

func (c *pictureRow) example() Example {
	return Example{
		ImageID: c.ImageID, URI: c.URI, Split: c.Split,
		Width: int(c.Width), Height: int(c.Height),
		ContentHash: c.ContentHash,
		PixelWidth:  int(c.PixelWidth), PixelHeight: int(c.PixelHeight),
	}
}

func fromPictureRow(r *pictureRow) Example { return r.example() }

func fromUint8Picture(r *uint8Picture) Example {
	e := r.example()
	e.Pixels = r.Pixels
	return e
}

func fromFloat32Picture(r *float32Picture) Example {
	e := r.example()
	e.Floats = r.Pixels
	return e
}
