package smtp

import (
	"errors"
	"io"
	"syscall"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// intake takes the content of one message in, piece by piece. After the first
// reason to refuse it, it drops what it has and what still comes.
type intake struct {
	limits   *Limits
	message  *Message
	spool    *message.Spool
	size     int64
	header   headerScan
	ends     lineEnds
	binary   bool // BODY=BINARYMIME: lines matter in the header only
	refusal  *mail.Reply
	atHeader func(m *Message) *mail.Reply // nil: nobody wants to know
}

func (in *intake) close() { _ = in.spool.Close() }

// refuse keeps the first reason.
func (in *intake) refuse(r *mail.Reply) {
	if in.refusal == nil && r != nil {
		in.refusal = r
		in.close()
	}
}

// write takes the next piece, whose lines were checked already.
func (in *intake) write(p []byte) {
	if in.refusal != nil {
		return
	}
	if in.size += int64(len(p)); in.size > in.limits.MessageSize {
		in.refuse(errTooBig)
		return
	}
	if _, err := in.spool.Write(p); err != nil {
		in.refuse(storageReply(err))
		return
	}
	if !in.header.done {
		in.scanHeader(p)
	}
}

func (in *intake) scanHeader(p []byte) {
	n := in.header.scan(p)
	if in.binary {
		if in.ends.check(p[:n]); in.ends.bare {
			in.refuse(errBareLine)
		}
	}
	in.refuse(in.header.within(in.limits))
	if in.header.done {
		in.headerDone()
	}
}

// headerDone asks the hooks about the header, while the body is still coming.
func (in *intake) headerDone() {
	if in.refusal != nil || in.atHeader == nil {
		return
	}
	in.message.Body = io.NewSectionReader(in.spool, 0, int64(in.header.size))
	in.refuse(in.atHeader(in.message))
}

// chunk takes the next piece of BDAT content.
func (in *intake) chunk(p []byte) {
	if !in.binary {
		if in.ends.check(p); in.ends.bare {
			in.refuse(errBareLine)
		}
	}
	in.write(p)
}

// end says that all content has come. It returns the reason to refuse it.
func (in *intake) end() *mail.Reply {
	if !in.binary && !in.ends.whole() {
		in.refuse(errBareLine)
	}
	if !in.header.done {
		in.headerDone() // a message that is all header
	}
	return in.refusal
}

// storageReply is the answer to a failure to keep content.
func storageReply(err error) *mail.Reply {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return mail.ErrStorage.Because(err)
	}
	return mail.ErrTemporary.Because(err)
}
