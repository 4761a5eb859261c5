"""Frames and types of Kafka's protocol."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.stack.kafka_wire import Decoder, Encoder, WireError, framed, parse_request, read_frame


@given(
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=50),
    st.binary(max_size=50),
    st.lists(st.text(max_size=5), max_size=5),
)
def test_what_is_written_reads_the_same(short: int, middle: int, long: int, text: str, blob: bytes, texts: list[str]) -> None:
    writer = Encoder().int16(short).int32(middle).int64(long).string(text).blob(blob)
    writer.array(texts, writer.string)
    reader = Decoder(writer.done())
    assert (reader.int16(), reader.int32(), reader.int64(), reader.text(), reader.blob()) == (short, middle, long, text, blob)
    assert reader.array(reader.text) == texts


def test_nulls() -> None:
    assert Decoder(b"\xff\xff").string() is None
    assert Decoder(b"\xff\xff\xff\xff").blob() == b""
    assert Decoder(b"\xff\xff\xff\xff").array(int) is None
    with pytest.raises(WireError, match="null where a string"):
        Decoder(b"\xff\xff").text()


@pytest.mark.parametrize("cut", range(7))
def test_bytes_that_end_early_are_an_error(cut: int) -> None:
    whole = Encoder().string("abcde").done()
    with pytest.raises(WireError):
        Decoder(whole[:cut]).text()


def test_a_request_header() -> None:
    frame = Encoder().int16(11).int16(2).int32(77).string("me").int32(5).done()
    request = parse_request(frame)
    assert (request.api, request.version, request.correlation, request.client, request.body.int32()) == (11, 2, 77, "me", 5)
    with pytest.raises(WireError):
        parse_request(b"\0\1")


async def test_frames_end_with_the_stream() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(framed(b"one") + framed(b"") + framed(b"cut short")[:-1])
    stream.feed_eof()
    assert [await read_frame(stream) for _ in range(3)] == [b"one", b"", None]


async def test_a_frame_of_absurd_length_is_an_error() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"GET / HTTP/1.1")
    with pytest.raises(WireError, match="a frame of"):
        await read_frame(stream)
