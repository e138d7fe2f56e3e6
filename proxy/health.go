package proxy

// Health knows which back ends answer. The zero value is ready.
type Health struct{}
