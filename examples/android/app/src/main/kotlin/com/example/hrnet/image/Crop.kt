package com.example.hrnet.image

import com.example.hrnet.people.Box
import kotlin.math.max

/**
 * A person's crop of a frame, and the way back: image = offset + scale * crop.
 *
 * @property width In pixels, as [height].
 */
class Crop private constructor(
    val width: Int,
    val height: Int,
    val scaleX: Double,
    val scaleY: Double,
    val offsetX: Double,
    val offsetY: Double
) {
    fun toImageX(x: Double) = offsetX + scaleX * x

    fun toImageY(y: Double) = offsetY + scaleY * y

    /** Writes what the network sees: red, green, blue, row by row; black outside. */
    fun cut(frame: Frame, into: ByteArray, start: Int = 0) {
        val columns = Axis.of(width, offsetX, scaleX, frame.width, frame.stepX)
        val rows = Axis.of(height, offsetY, scaleY, frame.height, frame.stepY)
        sample(frame, columns, rows, into, start)
    }

    companion object {
        /**
         * The crop around a box, as in training.
         *
         * The box grows to the crop's shape, then by the padding.
         *
         * @param padding Factor on the box once it has the crop's aspect ratio.
         * @param isUdp Whether lengths are counted between the middles of pixels, as the
         *     codec `udp` needs.
         */
        fun around(box: Box, width: Int, height: Int, padding: Double, isUdp: Boolean): Crop {
            val ratio = width.toDouble() / height
            val grownWidth = max(box.width, box.height * ratio) * padding
            val grownHeight = max(box.height, box.width / ratio) * padding
            val extentX = if (isUdp) width - 1.0 else width.toDouble()
            val extentY = if (isUdp) height - 1.0 else height.toDouble()
            val scaleX = grownWidth / extentX
            val scaleY = if (isUdp) grownHeight / extentY else scaleX
            val left = box.middleX - scaleX * extentX / 2
            val top = box.middleY - scaleY * extentY / 2
            return Crop(width, height, scaleX, scaleY, left, top)
        }
    }
}
