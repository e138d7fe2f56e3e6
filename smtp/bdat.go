package smtp

import (
	"context"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
)

// bdat answers BDAT (RFC 3030 §2). Its octets follow the command without
// asking: they are read before any answer, whatever that is.
func (c *conversation) bdat(ctx context.Context, arg string) *mail.Reply {
	switch {
	case c.tx == nil:
		return c.skipBdat(ctx, arg, errMailFirst)
	case len(c.tx.envelope.Recipients) == 0:
		return c.skipBdat(ctx, arg, c.noRecipients())
	}
	size, last, ok := parseChunk(arg)
	switch {
	case !ok:
		return c.lastWord(errChunkSize) // nobody knows where the next command begins
	case size > c.limits.MessageSize:
		return c.lastWord(errTooBig)
	}
	if c.tx.chunked == nil {
		c.tx.chunked = c.newIntake(ctx)
	}
	in := c.tx.chunked
	if err := c.receiveChunk(size, in.chunk); err != nil {
		c.readFailed(ctx, err)
		return nil
	}
	switch {
	case last:
		return c.finish(ctx, in)
	case in.refusal != nil:
		c.reset()
		return in.refusal
	}
	return mail.Errorf(250, replyOK.Enhanced, "%d octets received", size)
}

// skipBdat reads a chunk that nobody wants and answers r.
func (c *conversation) skipBdat(ctx context.Context, arg string, r *mail.Reply) *mail.Reply {
	size, _, ok := parseChunk(arg)
	switch {
	case !ok:
		return c.lastWord(errChunkSize)
	case size > c.limits.MessageSize:
		return c.lastWord(errTooBig)
	}
	if err := c.receiveChunk(size, func([]byte) {}); err != nil {
		c.readFailed(ctx, err)
		return nil
	}
	return r
}

// parseChunk reads "size" or "size LAST".
func parseChunk(arg string) (size int64, last, ok bool) {
	digits, rest, hasRest := strings.Cut(arg, " ")
	for i := 0; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false, false
		}
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	last = hasRest && strings.EqualFold(rest, "LAST")
	return size, last, err == nil && last == hasRest
}

// receiveChunk reads size octets.
func (c *conversation) receiveChunk(size int64, take func(piece []byte)) error {
	c.beginTransfer()
	defer c.wire.EndTransfer()
	for size > 0 {
		w, err := c.wire.Window()
		if err != nil {
			return err
		}
		if int64(len(w)) > size {
			w = w[:size]
		}
		take(w)
		c.wire.Advance(len(w))
		size -= int64(len(w))
	}
	return nil
}
