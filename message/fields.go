package message

import (
	"bytes"
	"iter"
)

// Field is one field of a header (RFC 5322 §2.2).
type Field struct {
	Name string // as written; empty for a line that is no field
	Raw  []byte // the whole field with folding and line endings, part of the header it came from
}

// Fields iterates over the fields of a header in their order. The Raw of all
// of them together is the header, octet for octet: a line that is no field is
// a Field with an empty Name, and so is the empty line that ends a header.
// It never stops before the end of header. CR LF and LF end lines.
func Fields(header []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for len(header) > 0 {
			n := fieldLen(header)
			f := Field{Raw: header[:n:n]}
			if k, ok := fieldName(f.Raw); ok {
				f.Name = string(f.Raw[:k])
			}
			if !yield(f) {
				return
			}
			header = header[n:]
		}
	}
}

// fieldLen returns how many octets the first field takes with its
// continuation lines. An empty line has no continuation.
func fieldLen(header []byte) int {
	n := lineLen(header)
	if n <= 2 && len(bytes.TrimRight(header[:n], "\r\n")) == 0 {
		return n
	}
	for n < len(header) && (header[n] == ' ' || header[n] == '\t') {
		n += lineLen(header[n:])
	}
	return n
}

func lineLen(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// Unfold returns the value of a field given as Field.Raw: what follows the
// colon, without the line breaks of folding and without white space at its
// ends. A line that is no field is its own value. The result holds no CR, LF
// or NUL: a space stands for each that belongs to no line break.
func Unfold(raw []byte) string {
	if n, ok := fieldName(raw); ok {
		raw = raw[n+bytes.IndexByte(raw[n:], ':')+1:]
	}
	return string(unfold(bytes.Clone(raw)))
}

// unfold unfolds and trims a value in place.
func unfold(value []byte) []byte {
	value = bytes.TrimRight(value, " \t\r\n")
	value = bytes.TrimLeft(value, " \t\r\n")
	if !needsUnfolding(value) {
		return value
	}
	out := value[:0]
	for i, c := range value {
		switch {
		case c == '\n', c == '\r' && i+1 < len(value) && value[i+1] == '\n':
		case c == '\r', c == 0:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return out
}

func needsUnfolding(value []byte) bool {
	return bytes.IndexByte(value, '\n') >= 0 || bytes.IndexByte(value, '\r') >= 0 || bytes.IndexByte(value, 0) >= 0
}
