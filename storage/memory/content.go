package memory

import (
	"bytes"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage/internal/shape"
)

// with returns the content with a prefix of its own.
func (c content) with(prefix []byte) (content, error) {
	if len(prefix) == 0 {
		return c, nil
	}
	joined := message.Join(bytes.Clone(prefix), c.body)
	index, err := shape.Index(prefix, c.index, func() (message.OpenBody, error) { return open{joined}, nil })
	return content{joined, index}, err
}

// open is content as its reader closes it.
type open struct{ message.Body }

func (open) Close() error { return nil }
