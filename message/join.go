package message

import "io"

// Join returns prefix and b as one Body: the trace fields that a delivery
// adds, and the message as it came. It returns b itself when prefix is empty.
// The result lives as long as b and prefix do and closes nothing; when b must
// be closed by whoever gets the result, use JoinOpen.
func Join(prefix []byte, b Body) Body {
	if len(prefix) == 0 {
		return b
	}
	return &joined{prefix: prefix, rest: b}
}

// JoinOpen is Join for a Body that its receiver closes: closing the result
// closes b.
func JoinOpen(prefix []byte, b OpenBody) OpenBody {
	if len(prefix) == 0 {
		return b
	}
	return &joinedOpen{joined{prefix: prefix, rest: b}, b}
}

type joined struct {
	prefix []byte
	rest   Body
}

func (j *joined) Size() int64 { return int64(len(j.prefix)) + j.rest.Size() }

func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errNegativeOffset
	}
	if off < int64(len(j.prefix)) {
		n = copy(p, j.prefix[off:])
		if n == len(p) {
			return n, nil
		}
	}
	m, err := j.rest.ReadAt(p[n:], off+int64(n)-int64(len(j.prefix)))
	return n + m, err
}

type joinedOpen struct {
	joined
	closer io.Closer
}

func (j *joinedOpen) Close() error { return j.closer.Close() }
