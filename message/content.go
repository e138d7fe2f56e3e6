package message

import "io"

// DecodedReader reads the content of p, a part of b, with its transfer
// encoding (RFC 2045 §6) undone. It streams, with a few kilobytes of memory,
// and goes on whatever it finds: damaged base64 and quoted-printable decode as
// far as they go, and an encoding that is not known is none. Errors are those
// of reading b.
func DecodedReader(b Body, p *Part) io.Reader {
	raw := io.NewSectionReader(b, p.Body, p.End-p.Body)
	switch p.Encoding {
	case "base64":
		return &base64Reader{src: raw}
	case "quoted-printable":
		return &quotedReader{src: raw}
	}
	return raw
}

// TextReader is DecodedReader for a text part, turned into UTF-8 according to
// its charset parameter. Text in UTF-8, ASCII or an unknown charset, and parts
// of other types, come as they are: what is read need not be valid UTF-8.
func TextReader(b Body, p *Part) io.Reader {
	r := DecodedReader(b, p)
	if p.Type != "text" {
		return r
	}
	if e, _ := charsetOf(param(p.Params, "charset")); e != nil {
		return e.NewDecoder().Reader(r)
	}
	return r
}
