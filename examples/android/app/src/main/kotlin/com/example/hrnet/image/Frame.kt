package com.example.hrnet.image

const val BYTES_A_PIXEL = 4

/**
 * A picture of the camera, as its memory holds it, and how it stands.
 *
 * Everything else counts in pixels of the upright picture; the steps lead from one of
 * them to the next.
 *
 * @property pixels Red, green, blue and alpha, row by row.
 * @property rowBytes From one row to the next.
 * @property degrees How far the picture has to be turned clockwise to stand upright: 0,
 *     90, 180 or 270.
 * @property seconds When it was taken, on any clock.
 */
class Frame(
    val pixels: ByteArray,
    storedWidth: Int,
    storedHeight: Int,
    rowBytes: Int,
    val degrees: Int,
    val seconds: Double
) {
    private val isTurned = degrees % 180 != 0
    val width = if (isTurned) storedHeight else storedWidth
    val height = if (isTurned) storedWidth else storedHeight

    private val lastRow = (storedHeight - 1) * rowBytes
    private val lastColumn = (storedWidth - 1) * BYTES_A_PIXEL

    /** Where the upper left pixel is. */
    val first: Int = when (degrees) {
        0 -> 0
        90 -> lastRow
        180 -> lastRow + lastColumn
        270 -> lastColumn
        else -> throw IllegalArgumentException("A frame is turned by $degrees degrees.")
    }

    /** Bytes from a pixel to the one at its right. */
    val stepX: Int = when (degrees) {
        0 -> BYTES_A_PIXEL
        90 -> -rowBytes
        180 -> -BYTES_A_PIXEL
        else -> rowBytes
    }

    /** Bytes from a pixel to the one below. */
    val stepY: Int = when (degrees) {
        0 -> rowBytes
        90 -> BYTES_A_PIXEL
        180 -> -rowBytes
        else -> -BYTES_A_PIXEL
    }
}
