package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/posthouse-mail/posthouse/listener"
)

// headerText bounds each text in a PROXY header, uniqueID the id (§2.2.5).
const (
	headerText = 255
	uniqueID   = 128
)

// sendHeader tells the back end of the client before anything else is said.
func (l *Link) sendHeader(ctx context.Context) error {
	octets, err := l.header()
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	if err := l.nc.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if _, err := l.nc.Write(octets); err != nil {
		return err
	}
	return l.nc.SetWriteDeadline(time.Time{})
}

// header returns a PROXY header of version 2. Where the client's addresses are
// not of one family, or not known, it tells none (LOCAL): the back end then
// takes the front end for the client.
func (l *Link) header() ([]byte, error) {
	h := proxyproto.HeaderProxyFromAddrs(2, nil, nil)
	source, destination := unmapped(l.client.Remote), unmapped(l.client.Local)
	if source.IsValid() && destination.IsValid() && source.Addr().Is4() == destination.Addr().Is4() {
		h = proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(source), net.TCPAddrFromAddrPort(destination))
	}
	tlvs := []proxyproto.TLV{{Type: listener.ProxyHops, Value: []byte{byte(l.Hops())}}}
	tlvs = appendText(tlvs, proxyproto.PP2_TYPE_UNIQUE_ID, l.client.Session, uniqueID)
	if state := l.client.TLS; state != nil {
		tlvs = appendText(tlvs, proxyproto.PP2_TYPE_AUTHORITY, state.ServerName, headerText)
		ssl, err := sslOf(state).Marshal()
		if err != nil {
			return nil, err
		}
		tlvs = append(tlvs, ssl)
	}
	if err := h.SetTLVs(tlvs); err != nil {
		return nil, err
	}
	return h.Format()
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// sslOf tells of the client's TLS layer (§2.2.6).
func sslOf(state *tls.ConnectionState) tlvparse.PP2SSL {
	ssl := tlvparse.PP2SSL{Client: tlvparse.PP2_BITFIELD_CLIENT_SSL, Verify: 1}
	ssl.TLV = appendText(nil, proxyproto.PP2_SUBTYPE_SSL_VERSION, tlsVersion(state.Version), headerText)
	ssl.TLV = appendText(ssl.TLV, proxyproto.PP2_SUBTYPE_SSL_CIPHER, tls.CipherSuiteName(state.CipherSuite), headerText)
	if len(state.PeerCertificates) > 0 {
		ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN | tlvparse.PP2_BITFIELD_CLIENT_CERT_SESS
		ssl.TLV = appendText(ssl.TLV, proxyproto.PP2_SUBTYPE_SSL_CN, state.PeerCertificates[0].Subject.CommonName, headerText)
		if len(state.VerifiedChains) > 0 {
			ssl.Verify = 0
		}
	}
	return ssl
}

// tlsVersion writes a version as OpenSSL does, which others expect.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return tls.VersionName(v)
}

// appendText leaves out what is empty or too long.
func appendText(tlvs []proxyproto.TLV, t proxyproto.PP2Type, text string, limit int) []proxyproto.TLV {
	if text == "" || len(text) > limit {
		return tlvs
	}
	return append(tlvs, proxyproto.TLV{Type: t, Value: []byte(text)})
}
