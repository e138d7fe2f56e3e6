package front

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// lastID makes ids of one process distinct; it starts at a random place, so
// that ids of several processes hardly ever meet.
var lastID atomic.Uint64

var idText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a short unique name for a session or a transaction, for logs
// and trace headers: ten letters and digits.
func NewID() string {
	if lastID.Load() == 0 {
		var seed [8]byte
		_, _ = rand.Read(seed[:]) // never fails
		start := uint64(time.Now().Unix())<<16 | uint64(binary.BigEndian.Uint16(seed[:]))
		lastID.CompareAndSwap(0, start)
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], lastID.Add(1))
	return idText.EncodeToString(b[2:])
}
