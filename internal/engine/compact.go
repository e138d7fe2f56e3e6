package engine

// move is a body on its way to the current segment.
type move struct {
	id   BlobID
	from blob
}
