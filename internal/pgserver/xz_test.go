package pgserver

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// storedXZ wraps data in the .xz format without compressing it, for the library has a reader only. The layout is that
// of "The .xz File Format" 1.2.0: stream header, one block of uncompressed LZMA2 chunks, index, stream footer.
func storedXZ(data []byte) []byte {
	flags := []byte{0, 0} // no check over the data
	var out bytes.Buffer
	out.WriteString("\xfd7zXZ\x00")
	out.Write(withCRC(flags))

	block := out.Len()
	out.Write(withCRC([]byte{2, 0, 0x21, 1, 22, 0, 0, 0})) // 12 bytes: LZMA2 with a dictionary of 8 MiB
	control := byte(1)                                     // the first chunk resets the dictionary
	for rest := data; len(rest) > 0; control = 2 {
		n := min(len(rest), 1<<16)
		out.WriteByte(control)
		out.Write(binary.BigEndian.AppendUint16(nil, uint16(n-1)))
		out.Write(rest[:n])
		rest = rest[n:]
	}
	out.WriteByte(0)
	unpadded := out.Len() - block
	pad(&out)

	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(len(data)))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = withCRC(index)
	out.Write(index)

	footer := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), flags...)
	out.Write(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(footer)))
	out.Write(footer)
	out.WriteString("YZ")
	return out.Bytes()
}

func withCRC(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }

func pad(out *bytes.Buffer) {
	for out.Len()%4 != 0 {
		out.WriteByte(0)
	}
}
