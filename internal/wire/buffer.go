package wire

import "sync"

// bufferSize holds a whole TLS record, so that a read of it leaves nothing
// decrypted inside the TLS layer.
const bufferSize = 16 << 10

type buffer struct{ b [bufferSize]byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func getBuffer() *buffer  { return buffers.Get().(*buffer) }
func putBuffer(b *buffer) { buffers.Put(b) }
