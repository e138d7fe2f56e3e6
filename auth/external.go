package auth

// external is EXTERNAL (RFC 4422 appendix A): the client has proved in its
// TLS handshake who it is, and says at most for whom it acts.
type external struct{}

func (external) Next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte{}, false, nil
	}
	// NewExchange has seen that there is a chain.
	return nil, true, e.CheckProof(string(response), &Certificate{Chain: e.creds.TLS.VerifiedChains[0]})
}
