// Package pathmtu tests the search for a path's MTU over the sockets of network
// namespaces, whose links have MTUs of their own: as root, on Linux.
package pathmtu
