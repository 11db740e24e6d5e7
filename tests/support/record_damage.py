"""What happens to files of records: each function damages one, and knows its name."""

import os
import struct

import tensorflow as tf


def delete(path):
    os.remove(path)


def empty(path):
    open(path, "wb").close()


def folder(path):
    os.remove(path)
    os.mkdir(path)


def cut_at_a_border(path):
    """Leaves all records but the last."""
    os.truncate(path, _starts(path)[-1])


def cut_within_the_last(path):
    os.truncate(path, os.path.getsize(path) - 5)


def cut_within_a_length(path):
    os.truncate(path, _starts(path)[-1] + 7)


def flip_in_the_length(path):
    _flip(path, _starts(path)[-1] + 1)


def lie_about_the_length(path, length=1 << 40):
    """A length beyond the end of the file, with its right checksum."""
    start = _starts(path)[-1]
    head = struct.pack("<Q", length)
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(head + struct.pack("<I", _masked_checksum(head)))


def flip_in_the_record(path):
    _flip(path, _starts(path)[-1] + 12 + 3)


def flip_in_the_checksum(path):
    _flip(path, os.path.getsize(path) - 2)


DAMAGES = (
    *(delete, empty, folder, cut_at_a_border, cut_within_the_last),
    *(cut_within_a_length, flip_in_the_length, flip_in_the_record),
    *(flip_in_the_checksum, lie_about_the_length),
)


def rewrite(path, change):
    """Writes all records again, the last one changed, with right checksums."""
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records[:-1]:
            writer.write(record)
        writer.write(change(records[-1]))
    return len(records)


def _masked_checksum(content):
    """TFRecord's CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def _starts(path):
    """Where the records of a file begin."""
    starts, offset = [], 0
    with open(path, "rb") as file:
        content = file.read()
    while offset < len(content):
        starts.append(offset)
        offset += struct.unpack_from("<Q", content, offset)[0] + 16
    return starts


def _flip(path, place):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))
