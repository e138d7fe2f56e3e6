package message

import "iter"

// Field is one field of a header.
type Field struct {
	Name string // as written; empty for a line that is no field
	Raw  []byte // the whole field with folding and line endings
}

// Fields iterates over the fields of a header.
func Fields(header []byte) iter.Seq[Field] { return func(func(Field) bool) {} }

// Unfold returns the value of a field given as Field.Raw: what follows the
// colon, unfolded and trimmed.
func Unfold(raw []byte) string { return string(raw) }

// DecodeText turns RFC 2047 encoded words into UTF-8.
func DecodeText(s string) string { return s }
