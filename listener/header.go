package listener

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// The shape of a header: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
const (
	v1Signature = "PROXY "
	v2Signature = "\r\n\r\n\x00\r\nQUIT\n"
	v1Max       = 107     // §2.1, with its CR LF
	v2Fixed     = 16      // §2.2: signature, command, family, length
	v2Max       = 4 << 10 // what follows these; the certificate of a client is the longest thing in it
	uniqueMax   = 128     // §2.2.5
	textMax     = 255     // of what else is kept
)

var errNoHeader = errors.New("there is none")

// readHeader reads a header and not one octet more: what follows belongs to
// TLS, or to an engine that reads from the descriptor. With an error it
// returns the octets that were read; errNoHeader when they begin no header.
func readHeader(r io.Reader) ([]byte, error) {
	h := make([]byte, 0, v1Max)
	for len(h) < len(v1Signature) {
		n, err := r.Read(h[len(h):len(v1Signature)])
		h = h[:len(h)+n]
		if n > 0 && !bytes.HasPrefix([]byte(v1Signature), h) && !bytes.HasPrefix([]byte(v2Signature), h) {
			return h, errNoHeader
		}
		if err != nil && len(h) < len(v1Signature) {
			return h, err
		}
	}
	if h[0] == v2Signature[0] {
		return readV2(r, h)
	}
	return readV1(r, h)
}

// readV1 reads single octets: nothing tells beforehand where the line ends.
func readV1(r io.Reader, h []byte) ([]byte, error) {
	for len(h) < v1Max {
		h = h[:len(h)+1]
		if _, err := io.ReadFull(r, h[len(h)-1:]); err != nil {
			return h[:len(h)-1], err
		}
		if h[len(h)-1] == '\n' {
			return h, nil
		}
	}
	return h, proxyproto.ErrVersion1HeaderTooLong
}

func readV2(r io.Reader, h []byte) ([]byte, error) {
	had := len(h)
	h = h[:v2Fixed]
	if n, err := io.ReadFull(r, h[had:]); err != nil {
		return h[:had+n], err
	}
	if !bytes.HasPrefix(h, []byte(v2Signature)) {
		return h, proxyproto.ErrNoProxyProtocol
	}
	length := int(binary.BigEndian.Uint16(h[v2Fixed-2:]))
	if length > v2Max {
		return h, proxyproto.ErrInvalidLength
	}
	h = append(h, make([]byte, length)...)
	n, err := io.ReadFull(r, h[v2Fixed:])
	return h[:v2Fixed+n], err
}

// parseHeader reads what readHeader returned. What is malformed is an error,
// in an extension too: who writes it can't be relied on.
func parseHeader(octets []byte) (*origin, error) {
	in := bytes.NewReader(octets)
	h, err := proxyproto.Read(bufio.NewReaderSize(in, len(octets)))
	if err != nil {
		return nil, err
	}
	o := &origin{}
	source, destination, ok := h.TCPAddrs()
	if ok && h.Command.IsProxy() {
		o.Told, o.remote, o.local = true, source, destination
	}
	tlvs, err := h.TLVs()
	if err != nil {
		return nil, err
	}
	for _, t := range tlvs {
		if err := o.extend(t); err != nil {
			return nil, err
		}
		if t.Type == proxyproto.PP2_TYPE_CRC32C && !checksumFits(octets, h.TransportProtocol) {
			return nil, errors.New("wrong checksum")
		}
	}
	return o, nil
}

// extend takes an extension in. Unknown ones say nothing.
func (o *origin) extend(t proxyproto.TLV) error {
	switch t.Type {
	case proxyproto.PP2_TYPE_UNIQUE_ID:
		if len(t.Value) > uniqueMax {
			return errors.New("unique id is too long")
		}
		o.UniqueID = printable(string(t.Value))
	case proxyproto.PP2_TYPE_AUTHORITY:
		o.Authority = printable(string(t.Value))
	case ProxyHops:
		if len(t.Value) != 1 || t.Value[0] == 0 {
			return errors.New("hops are one octet above 0")
		}
		o.Hops = int(t.Value[0])
	case proxyproto.PP2_TYPE_SSL:
		ssl, err := tlvparse.SSL(t)
		if err != nil {
			return fmt.Errorf("TLS extension: %w", err)
		}
		if ssl.ClientSSL() {
			o.TLS = proxiedTLS(ssl)
		}
	}
	return nil
}

func proxiedTLS(ssl tlvparse.PP2SSL) *ProxiedTLS {
	version, _ := ssl.SSLVersion()
	cipher, _ := ssl.SSLCipher()
	name, _ := ssl.ClientCN()
	withCertificate := ssl.ClientCertConn() || ssl.ClientCertSess()
	if !withCertificate {
		name = ""
	}
	return &ProxiedTLS{
		Version: printable(version), Cipher: printable(cipher), CommonName: printable(name),
		Verified: withCertificate && ssl.Verified(),
	}
}

// printable returns s, or nothing when it is too long or is more than
// printable ASCII: it goes to logs and into lines of protocols.
func printable(s string) string {
	if len(s) > textMax {
		return ""
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

// checksumFits verifies the CRC32C of a whole header, its own field counted as
// zero (§2.2.3). The extensions are well-formed.
func checksumFits(octets []byte, family proxyproto.AddressFamilyAndProtocol) bool {
	at := v2Fixed
	switch {
	case family.IsIPv4():
		at += 12
	case family.IsIPv6():
		at += 36
	case family.IsUnix():
		at += 216
	}
	for at+3 <= len(octets) {
		value := at + 3
		end := value + int(binary.BigEndian.Uint16(octets[at+1:]))
		if proxyproto.PP2Type(octets[at]) == proxyproto.PP2_TYPE_CRC32C {
			if end-value != 4 || end > len(octets) {
				return false
			}
			whole := bytes.Clone(octets)
			clear(whole[value:end])
			return crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli)) == binary.BigEndian.Uint32(octets[value:])
		}
		at = end
	}
	return false
}
