package main

import "net"

// How godwit writes and reads many datagrams at once. It has no calls for that
// yet, so that it does it one by one.

func godwitWriteBatch(c conn, data [][]byte) error { return writeEach(c, data) }

func godwitServe(l net.Listener, handle func(data []byte)) error { return readFirst(l, handle) }
