package auth

import "crypto/tls"

// Channel bindings that a TLS connection may have. Of tls-server-end-point
// (RFC 5929 §4) a server would have to know which of its certificates it has
// shown, which crypto/tls does not tell.
const (
	bindExporter = "tls-exporter" // RFC 9266
	bindUnique   = "tls-unique"   // RFC 5929 §3, up to TLS 1.2 alone
)

// channelBinding returns the data of a channel binding; nil when the
// connection does not have it.
func channelBinding(c *tls.ConnectionState, kind string) []byte {
	if c == nil || !c.HandshakeComplete {
		return nil
	}
	switch kind {
	case bindExporter:
		// Before TLS 1.3 this is an error unless the two agreed on the extended
		// master secret, as RFC 9266 §4.1 wants it.
		data, err := c.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		if err != nil {
			return nil
		}
		return data
	case bindUnique:
		if c.Version < tls.VersionTLS13 && len(c.TLSUnique) > 0 {
			return c.TLSUnique
		}
	}
	return nil
}

// canBind reports whether a connection has any channel binding.
func canBind(c *tls.ConnectionState) bool {
	return channelBinding(c, bindUnique) != nil || channelBinding(c, bindExporter) != nil
}

// hasCertificate reports whether the client has proved to have a certificate
// of an authority that the server trusts.
func hasCertificate(c *tls.ConnectionState) bool {
	return c != nil && c.HandshakeComplete && len(c.VerifiedChains) > 0 && len(c.VerifiedChains[0]) > 0
}
