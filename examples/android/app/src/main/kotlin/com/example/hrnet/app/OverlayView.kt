package com.example.hrnet.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.view.View
import com.example.hrnet.image.Viewport
import com.example.hrnet.people.Person
import kotlin.math.max

// Keypoints that score less are not drawn.
private const val LEAST_SCORE = 0.2

// In density-independent pixels.
private const val LINE = 3f
private const val DOT = 4f
private const val TEXT = 16f

/** Draws the people of a frame over the camera's preview, and how long it took. */
class OverlayView(context: Context) : View(context) {
    private val density = resources.displayMetrics.density
    private val line = paint(Paint.Style.STROKE, Color.WHITE)
    private val dot = paint(Paint.Style.FILL, Color.WHITE)
    private val text = paint(Paint.Style.FILL, Color.WHITE)
    private var scene: Scene? = null

    fun show(scene: Scene?) {
        this.scene = scene
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val scene = scene ?: return
        val port = Viewport(scene.width, scene.height, width, height, scene.isMirrored)
        for (person in scene.people) draw(canvas, person, scene, port)
        scene.times.split("\n").forEachIndexed { row, words ->
            canvas.drawText(words, TEXT * density, (row + 2) * 1.4f * text.textSize, text)
        }
    }

    private fun draw(canvas: Canvas, person: Person, scene: Scene, port: Viewport) {
        val points = person.keypoints
        val x = FloatArray(points.size) { port.x(points.x[it]).toFloat() }
        val y = FloatArray(points.size) { port.y(points.y[it]).toFloat() }
        val isSeen = BooleanArray(points.size) { points.score[it] > LEAST_SCORE }
        for (limb in scene.limbs) {
            if (!isSeen[limb.from] || !isSeen[limb.to]) continue
            line.color = limb.color
            canvas.drawLine(x[limb.from], y[limb.from], x[limb.to], y[limb.to], line)
        }
        for (k in x.indices) if (isSeen[k]) canvas.drawCircle(x[k], y[k], DOT * density, dot)
        val left = port.x(person.box.x).toFloat()
        val right = port.x(person.box.x + person.box.width).toFloat()
        val top = max(port.y(person.box.y).toFloat(), text.textSize)
        canvas.drawText(person.number.toString(), (left + right) / 2, top, text)
    }

    private fun paint(look: Paint.Style, ink: Int) = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        style = look
        color = ink
        strokeWidth = LINE * density
        textSize = TEXT * density
        // To be read on any picture.
        if (look == Paint.Style.FILL) setShadowLayer(2 * density, 0f, 0f, Color.BLACK)
    }
}
