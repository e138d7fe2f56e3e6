package front

import "bytes"

// Foreign names the protocol that the first octets of a client are of, when
// it is plainly none of those that begin with a word and a line: TLS where it
// was not expected, and HTTP. Empty: no such thing. There is nothing to say to
// such a client.
func Foreign(first []byte) string {
	line, _, _ := bytes.Cut(first, []byte("\n"))
	switch {
	case len(first) > 0 && first[0] == 0x16:
		return "TLS"
	case bytes.HasSuffix(bytes.TrimSuffix(line, []byte("\r")), []byte(" HTTP/1.1")),
		bytes.HasSuffix(bytes.TrimSuffix(line, []byte("\r")), []byte(" HTTP/1.0")),
		bytes.HasPrefix(line, []byte("PRI * HTTP/2")):
		return "HTTP"
	}
	return ""
}
